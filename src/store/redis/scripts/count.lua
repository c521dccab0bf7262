-- count: adds to workers' statistics the jobs that were not counted yet.
--
-- KEYS   stat:processed:<name> of each
-- ARGV   now (unused), how many, for each

for i = 1, #KEYS do
  try('INCRBY', key(), arg())
end
return #KEYS
