-- count: what workers did and was not counted for them yet.
--
-- KEYS   stat:processed:<name> of each
-- ARGV   now (unused), how many, for each

for i = 1, #KEYS do
  try('INCRBY', key(), arg())
end
return #KEYS
