-- fill: stores what was loaded under a right, or gives the right up. Per key: right, life in ms, '1' or '0', record.
--
-- Replies 0 ok | 1 lost | 2 superseded | 3 unseen | 4 released. Never creates from nothing.

local OK, LOST, SUPERSEDED, UNSEEN, RELEASED = 0, 1, 2, 3, 4

-- How the floor begins that a lease made for a right.
local leased, leased_for

-- Whether that is such a floor as its lease left it, so that the record is new and nothing else is to be judged: mostly.
local function is_untouched(there, right, record)
  if right ~= leased_for then leased, leased_for = floor_head(right, right), right end
  return #there == HEADER + #NO_MARKS and sub(there, 1, 40) == leased and sub(there, HEADER + 1) == NO_MARKS
    and token_of(record) ~= right
end

local function fill(key, right, life, brings, record)
  local there = get(key)
  if there and brings == '1' and is_untouched(there, right, record) then
    call('SET', key, record, 'PX', life)
    return OK
  end
  local state, _, kind, marks = parse(there or '')
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
