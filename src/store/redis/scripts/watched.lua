-- watched: somebody looks at the samples.
--
-- KEYS   windlass:watched
-- ARGV   now (unused), for how many ms

local WATCHED = key()
must('SET', WATCHED, '1', 'PX', arg())
return 1
