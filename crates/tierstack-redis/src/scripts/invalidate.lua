-- invalidate: makes the value unusable, and every fill that has not seen the marks. Per key: token, life in ms, '1' if
-- the write has ended, xids (40 digits each), holds to add (id and life in ms, 48 digits each), holds to drop (32 each), a
-- right to claim or sixteen zero bytes, its life in ms, the token of a VALUE to spare or sixteen zero bytes. After all keys:
-- the channel.
--
-- Replies {0} a FLOOR with that token is there | {1} unchanged.

local function has_xid(marks, xid)
  for _, there in ipairs(marks.xids) do
    if there == xid then return true end
    if marks.folded and history(there) == history(xid) and not below(id(there), id(xid)) then return true end
  end
  return false
end

local function add_xid(marks, xid)
  if has_xid(marks, xid) then return end
  local xids = marks.xids
  xids[#xids + 1] = xid
  if #xids > MOST_XIDS then
    local top = id(xid)
    for _, there in ipairs(xids) do
      if below(top, id(there)) then top = id(there) end
    end
    marks.xids = { history(xid) .. top }
    marks.folded = true
  end
end

-- One that is there is prolonged. Above the limit, the one that ends last becomes nobody's, and takes in the rest.
local function add_hold(marks, new)
  local last, folded
  for _, hold in ipairs(marks.holds) do
    if hold.id == new.id then
      if below(hold.ends, new.ends) then hold.ends = new.ends end
      return
    end
    if hold.id == FOLDED then folded = hold end
    if not last or not below(hold.ends, last.ends) then last = hold end
  end
  if #marks.holds < MOST_HOLDS then
    marks.holds[#marks.holds + 1] = new
  else
    last = folded or last
    last.id = FOLDED
    if below(last.ends, new.ends) then last.ends = new.ends end
  end
end

-- Drops that hold, if it is somebody's, and those that have ended.
local function drop_hold(marks, dropped)
  local left = {}
  for _, hold in ipairs(marks.holds) do
    if (hold.id ~= dropped or dropped == FOLDED) and number_of(hold.ends) > now then left[#left + 1] = hold end
  end
  marks.holds = left
end

local function has_all(marks, xids, holds)
  for _, xid in ipairs(xids) do
    if not has_xid(marks, xid) then return false end
  end
  for _, hold in ipairs(holds) do
    local covered = false
    for _, there in ipairs(marks.holds) do
      if there.id == hold.id and not below(there.ends, hold.ends) then covered = true end
    end
    if not covered then return false end
  end
  return true
end

local function has_seen_all(bytes, xids)
  local stamp = stamp_of(bytes)
  for _, xid in ipairs(xids) do
    if not seen(stamp, xid) then return false end
  end
  return true
end

local function holds_from_now(hex)
  local holds = {}
  for place, item in ipairs(list(hex, 48)) do
    local life = number_of(sub(item, 33, 48))
    holds[place] = { id = sub(item, 1, 32), ends = hex_of(now + life) }
  end
  return holds
end

-- The token at each key, once it has been judged.
local there_now = {}

local function invalidate(key, token, life_text, finished, xid_text, hold_text, drop_text, claim, claim_life,
  spared)
  local life = tonumber(life_text)
  local xids, holds, drops = list(xid_text, 40), holds_from_now(hold_text), list(drop_text, 32)
  local marks = no_marks()
  local state, there, kind, stood = find(key)
  there_now[key] = state == 'record' and token_of(there) or NOBODY
  if state == 'nothing' and finished == '1' then return { 1 } end
  if state == 'record' and kind == 'V' then
    if spared ~= NOBODY and there_now[key] == spared then return { 1 } end
    if #xids > 0 and #holds == 0 and has_seen_all(there, xids) then return { 1 } end
  elseif state == 'record' then
    marks = stood or marks
    local given = #xids > 0 or #holds > 0
    local claimed = claim == NOBODY or right_of(there) == claim
    if given and claimed and #drops == 0 and has_all(marks, xids, holds) then
      live(key, life)
      return { 1 }
    end
    life = math.max(life, call('PTTL', key))
  end
  for _, xid in ipairs(xids) do add_xid(marks, xid) end
  for _, hold in ipairs(holds) do add_hold(marks, hold) end
  for _, dropped in ipairs(drops) do drop_hold(marks, dropped) end
  -- DEL first: a full Redis refuses the first write of a script if it may grow, and takes what follows a write.
  call('DEL', key)
  there_now[key] = NOBODY
  local claim_until = claim == NOBODY and 0 or now + tonumber(claim_life)
  call('SET', key, floor(token, claim, claim_until, marks), 'PX', text(life))
  there_now[key] = token
  return { 0 }
end

-- Told in every case: a node's L1 may hold what has not been here for long. Each key with the token there now.
local function tell()
  local told = { '\241TSB\1I' }
  for _, key in ipairs(KEYS) do
    told[#told + 1] = struct.pack('>I4', #key) .. key .. (there_now[key] or NOBODY)
  end
  call('PUBLISH', ARGV[#ARGV], table.concat(told))
end

local replies = each(9, invalidate)
tell()
return replies
