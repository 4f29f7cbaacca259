-- lease: asks for the right to fill. Per key: right, life in ms, observed token or '', how long a FLOOR lives at least.
--
-- Replies {0, record} | {1, head} you have the right | {2, head, ms} wait | {3, head} bypass, where head is the record
-- that stands there now: a whole FLOOR, the header of a VALUE, or '' for another release's. Or 4: you have the right, and
-- the floor was made for it: its token is the right, and it has no marks.

local function head(there, kind)
  return kind == 'F' and there or sub(there, 1, HEADER)
end

-- The keys of a call mostly ask for one right: its floor is made once.
local made, made_for, made_life
local MADE = 4

local function lease(key, right, life_text, observed, keep)
  local life = tonumber(life_text)
  if right ~= made_for or life_text ~= made_life then
    made, made_for, made_life = floor(right, right, now + life, no_marks()), right, life_text
  end
  -- Mostly nothing is there, and one command does. A full Redis refuses it: then what is there decides.
  if observed == '' then
    local set = redis.pcall('SET', key, made, 'NX', 'PX', keep)
    if set and set.ok then return MADE end
  end
  local state, there, kind, marks = find(key)
  if state == 'nothing' or state == 'foreign' then
    call('SET', key, made, 'PX', keep)
    return MADE
  end
  if state == 'format' then return { 3, '' } end
  if kind == 'F' then live(key, tonumber(keep)) end
  if kind == 'V' and token_of(there) ~= observed then return { 0, there } end
  local holder, ends = right_of(there), right_until_of(there)
  if holder == right then return { 1, head(there, kind) } end
  if is_held(marks) then return { 3, head(there, kind) } end
  if holder ~= NOBODY and ends > now then
    return { 2, head(there, kind), text(math.min(ends - now, 9007199254740991)) }
  end
  -- In place: a VALUE keeps its bytes and its end.
  call('SETRANGE', key, 24, right_field(right, now + life))
  return { 1, head(there, kind) }
end

return each(4, lease)
