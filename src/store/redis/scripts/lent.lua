-- Fragment: values that stand in a long argument of the call are put together before anything else is read (lend.lua). It comes
-- first in the second form of a script, for calls that send a long job once; the script itself does not know.
--
-- ARGV   last: behind which argument lend.lua reads

borrow(tonumber(ARGV[#ARGV]), ARGV)
