-- count: adds to workers' statistics the jobs that were not counted yet.
--
-- KEYS   per worker worker:<id>:started, stat:processed:<name>
-- ARGV   now (unused), number of workers, how many, for each
-- returns the number of workers
--
-- Why this order: a worker that was removed meanwhile, by its burial too, has no start time any more. Its statistic went with
-- it, and one that was written again would stay for ever.

local workers = tonumber(arg())
for _ = 1, workers do
  local started, stat, done = key(), key(), arg()
  if try('EXISTS', started) == 1 then
    try('INCRBY', stat, done)
  end
end
return workers
