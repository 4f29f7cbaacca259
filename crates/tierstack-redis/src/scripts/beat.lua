-- beat: a heartbeat, told to the node that sends it. KEYS: the channel of its namespace, at which nothing stands. ARGV: the
-- node and its number, 24 bytes; the channel of the node.
--
-- A delete of nothing is refused where an invalidation is (a replica, too few of them, a disk that fails), and passes where
-- one does: in a full Redis.
redis.call('DEL', KEYS[1])
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
redis.call('PUBLISH', ARGV[2], '\241TSB\1B' .. ARGV[1] .. run)
return 1
