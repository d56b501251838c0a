#!lua flags=no-writes,allow-stale
-- R10: names one life of the data on this server: another one begins when it is started again, or a replica takes its place, and then what is
-- there may be older than what was read before. All keys are declared that are read in steps: while a slot moves, no server may have them all.
return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or ''
