-- Fragment: the batch that is set aside.
--
-- MOVING is a hash: `id` of this store as a source; `number` of its last batch; `batch`, which is `<number> <token>
-- <id of the target> <address of the target>`. A version that made no tokens writes only the first two, so that `batch`
-- counts only if it has the same number.

-- Is this the last batch that was set aside?
local function is_last(MOVING, source, number, token)
  if must('HGET', MOVING, 'id') ~= source or must('HGET', MOVING, 'number') ~= number then
    return false
  end
  local of, who = string.match(must('HGET', MOVING, 'batch') or '', '^(%d+) (%S+)')
  return (of == number and who or '') == token
end
