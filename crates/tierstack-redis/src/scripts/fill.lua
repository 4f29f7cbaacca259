-- fill: stores what was loaded under a right, or gives the right up. Per key: right, life in ms, '1' or '0', record.
--
-- Replies {0} ok | {1} lost | {2} superseded | {3} unseen | {4} released. Never creates from nothing.

local OK, LOST, SUPERSEDED, UNSEEN, RELEASED = { 0 }, { 1 }, { 2 }, { 3 }, { 4 }

local function fill(key, right, life, brings, record)
  local state, there, kind, marks = find(key)
  if state ~= 'record' then return LOST end
  if brings == '1' and token_of(record) == token_of(there) and parse(record) == 'record' then return OK end
  if right_of(there) ~= right then return SUPERSEDED end
  if brings ~= '1' then
    give_up(key, kind, marks)
    return RELEASED
  end
  if not open_to(right, record, marks) then
    give_up(key, kind, marks)
    return UNSEEN
  end
  call('SET', key, record, 'PX', life)
  return OK
end

return each(4, fill)
