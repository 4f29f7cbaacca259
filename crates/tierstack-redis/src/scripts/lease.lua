-- lease: asks for the right to fill. Per key: right, life in ms, observed token or ''.
--
-- Replies {0, record} | {1, head} you have the right | {2, head, ms} wait | {3, head} bypass, where head is the record
-- that stands there now: a whole FLOOR, the header of a VALUE, or '' for another release's.

local function head(there)
  return there.kind == 'F' and there.bytes or string.sub(there.bytes, 1, HEADER)
end

local function lease(key, right, life_text, observed)
  local life = tonumber(life_text)
  local state, there = find(key)
  if state == 'nothing' or state == 'foreign' then
    local made = floor(right, right, now + life, no_marks())
    redis.call('SET', key, made, 'PX', life_text)
    return { 1, made }
  end
  if state == 'format' then return { 3, '' } end
  if there.kind == 'V' and there.token ~= observed then return { 0, there.bytes } end
  if there.right == right then return { 1, head(there) } end
  if is_held(there.marks) then return { 3, head(there) } end
  if there.right ~= NOBODY and there.right_until > now then
    return { 2, head(there), text(math.min(there.right_until - now, 9007199254740991)) }
  end
  -- In place: a VALUE keeps its bytes and its end.
  redis.call('SETRANGE', key, 24, right_field(right, now + life))
  if there.kind == 'F' then live(key, life) end
  return { 1, head(there) }
end

return each(3, lease)
