-- The part that the three scripts share: the clock, the records, the marks. Layout: tierstack_core::record.
--
-- Bytes at a key are never trusted. What can't be read as a record is 'foreign', and counts as nothing there.

local FORMAT = 1
local HEADER = 48
local NOBODY = string.rep('\0', 16)
-- The id of holds that were folded: nobody's.
local FOLDED = string.rep('0', 32)
-- Marks, written, where there are none: most floors.
local NO_MARKS = '00000'
-- What scripts do to each key is worth a local name.
local call, sub, byte = redis.call, string.sub, string.byte
local MOST_XIDS, MOST_HOLDS, MOST_IN_PROGRESS = 8, 64, 16

local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Numbers are doubles: exact up to 2^53, so milliseconds are. Lua would print large ones as 1.7e+12.
local function text(number)
  return string.format('%.0f', number)
end

-- The two halves of 16 hex digits. Never compared as strings: Lua's < follows the locale of the server, and in some
-- ('aa' in Danish, 'dd' in Welsh) pairs of digits sort as one letter.
local function halves(hex)
  return tonumber(sub(hex, 1, 8), 16), tonumber(sub(hex, 9, 16), 16)
end

local function below(a, b)
  local a_high, a_low = halves(a)
  local b_high, b_low = halves(b)
  return a_high < b_high or (a_high == b_high and a_low < b_low)
end

local function number_of(hex)
  local high, low = halves(hex)
  return high * 4294967296 + low
end

local function hex_of(number)
  return string.format('%08x%08x', math.floor(number / 4294967296), number % 4294967296)
end

local function hex_of_token(token)
  return (string.gsub(token, '.', function(one) return string.format('%02x', byte(one)) end))
end

-- Cuts fixed-width hex from the front of a text; gives nil for ever once it ran out.
local function reader(hex)
  local at = 1
  if string.find(hex, '[^0-9a-f]') then at = nil end
  local function take(width)
    if not at or at + width - 1 > #hex then
      at = nil
      return nil
    end
    at = at + width
    return sub(hex, at - width, at - 1)
  end
  local function count(most)
    local number = tonumber(take(2) or '', 16)
    if not number or number > most then at = nil end
    return at and number or 0
  end
  local function ended()
    return at == #hex + 1
  end
  return take, count, ended
end

-- A text of `width` digits each, without a count.
local function list(hex, width)
  local items = {}
  for at = 1, #hex, width do items[#items + 1] = sub(hex, at, at + width - 1) end
  return items
end

local function read_marks(hex)
  local take, count, ended = reader(hex)
  local marks = { xids = {}, holds = {}, folded = false }
  local xids, folded = count(MOST_XIDS), take(1)
  for place = 1, xids do marks.xids[place] = take(40) end
  for place = 1, count(MOST_HOLDS) do marks.holds[place] = { id = take(32), ends = take(16) } end
  if not ended() or (folded ~= '0' and folded ~= '1') then return nil end
  marks.folded = folded == '1'
  return marks
end

local function write_marks(marks)
  local out = { string.format('%02x', #marks.xids), marks.folded and '1' or '0' }
  for _, xid in ipairs(marks.xids) do out[#out + 1] = xid end
  out[#out + 1] = string.format('%02x', #marks.holds)
  for _, hold in ipairs(marks.holds) do out[#out + 1] = hold.id .. hold.ends end
  return table.concat(out)
end

local function no_marks()
  return { xids = {}, holds = {}, folded = false }
end

-- The history (system and timeline) and the id of an xid.
local function history(xid) return sub(xid, 1, 24) end
local function id(xid) return sub(xid, 25, 40) end

-- The stamp of a VALUE; nil if it has none that can be read.
local function stamp_of(bytes)
  local high, low = byte(bytes, 101, 102)
  if not low or #bytes < 112 + high * 256 + low then return nil end
  local take, count, ended = reader(sub(bytes, 113, 112 + high * 256 + low))
  local stamp = { history = take(24), xmin = take(16), xmax = take(16), xip = {} }
  for _ = 1, count(MOST_IN_PROGRESS) do
    local running = take(16)
    if running then stamp.xip[running] = true end
  end
  return ended() and stamp or nil
end

local function seen(stamp, xid)
  if not stamp or stamp.history ~= history(xid) then return false end
  return below(id(xid), stamp.xmin) or (below(id(xid), stamp.xmax) and not stamp.xip[id(xid)])
end

local function is_held(marks)
  if not marks then return false end
  for _, hold in ipairs(marks.holds) do
    if number_of(hold.ends) > now then return true end
  end
  return false
end

-- Whether a fill under that right may replace the FLOOR that bears these marks: no hold stands, and its load has seen every
-- xid. The right of a write is the id of its hold: it may if no other write has held the FLOOR, ended or not.
local function open_to(right, bytes, marks)
  if not marks then return true end
  local own = false
  if #marks.holds > 0 and right ~= NOBODY then
    local id = hex_of_token(right)
    for _, hold in ipairs(marks.holds) do own = own or hold.id == id end
  end
  if own then
    if #marks.holds > 1 then return false end
  elseif is_held(marks) then
    return false
  end
  local stamp = stamp_of(bytes)
  for _, xid in ipairs(marks.xids) do
    if not seen(stamp, xid) then return false end
    if marks.folded and not below(id(xid), stamp.xmin) then return false end
  end
  return true
end

-- What some bytes are: 'foreign', 'format' (of another release), or 'record', themselves, their kind, and their marks if
-- they have any.
local function parse(bytes)
  if #bytes < HEADER or sub(bytes, 1, 4) ~= '\241TSK' then return 'foreign' end
  if byte(bytes, 5) ~= FORMAT then return 'format' end
  local kind = sub(bytes, 6, 6)
  local marks
  if kind == 'F' then
    local written = sub(bytes, HEADER + 1)
    if written ~= NO_MARKS then
      marks = read_marks(written)
      if not marks then return 'foreign' end
    end
  elseif kind ~= 'V' then
    return 'foreign'
  end
  return 'record', bytes, kind, marks
end

local function token_of(bytes) return sub(bytes, 9, 24) end
local function right_of(bytes) return sub(bytes, 25, 40) end
local function right_until_of(bytes) return (struct.unpack('>I8', bytes, 41)) end

-- The bytes at a key; nil if there is nothing. Another type of Redis is no bytes of ours.
local function get(key)
  local bytes = redis.pcall('GET', key)
  if type(bytes) == 'table' then
    if string.find(bytes.err, 'WRONGTYPE', 1, true) then return '' end
    error(bytes)
  end
  return bytes or nil
end

-- What is at a key: 'nothing', or what `parse` says.
local function find(key)
  local bytes = get(key)
  if not bytes then return 'nothing' end
  return parse(bytes)
end

-- A right and its end, as they stand at byte 24.
local function right_field(right, right_until)
  return right .. struct.pack('>I8', right_until)
end

-- A FLOOR up to the end of its right.
local function floor_head(token, right)
  return '\241TSK' .. string.char(FORMAT) .. 'F\0\0' .. token .. right
end

local function floor(token, right, right_until, marks)
  return floor_head(token, right) .. struct.pack('>I8', right_until) .. write_marks(marks)
end

-- Makes a key live for `life` from now at least; one without an end gets one.
local function live(key, life)
  if call('PTTL', key) < life then call('PEXPIRE', key, text(life)) end
end

-- Takes the right off a record; a FLOOR without marks has nothing left to say.
local function give_up(key, kind, marks)
  if kind == 'F' and (not marks or (#marks.xids == 0 and #marks.holds == 0)) then
    call('DEL', key)
  else
    call('SETRANGE', key, 24, right_field(NOBODY, 0))
  end
end

-- Judges each key by itself: an error at one (Redis is full, a missing permission) is the reply for that key only.
local function each(width, judge)
  local replies = {}
  for place = 1, #KEYS do
    local from = (place - 1) * width
    local ok, reply = pcall(judge, KEYS[place], unpack(ARGV, from + 1, from + width))
    if not ok then
      reply = { -1, type(reply) == 'table' and reply.err or tostring(reply) }
    end
    replies[place] = reply
  end
  return { text(now), replies }
end
