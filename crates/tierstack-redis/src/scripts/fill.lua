-- fill: stores what was loaded under a right, or gives the right up. Per key: right, life in ms, '1' or '0', record.
--
-- Replies {0} ok | {1} lost | {2} superseded | {3} unseen | {4} released. Never creates from nothing.

local function fill(key, right, life, brings, record)
  local state, there = find(key)
  if state ~= 'record' then return { 1 } end
  if brings == '1' then
    local new_state, new = parse(record)
    if new_state == 'record' and new.token == there.token then return { 0 } end
  end
  if there.right ~= right then return { 2 } end
  if brings ~= '1' then
    give_up(key, there)
    return { 4 }
  end
  if not sees_all(stamp_of(record), there.marks) then
    give_up(key, there)
    return { 3 }
  end
  redis.call('SET', key, record, 'PX', life)
  return { 0 }
end

return each(4, fill)
