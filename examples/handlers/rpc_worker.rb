#!/usr/bin/env ruby
# frozen_string_literal: true

# A worker for Windlass: `rpc = ["./rpc_worker.rb"]`, and any `depth`.
#
# Write your job into `perform`. What it returns is the result; what it raises is the failure.
# Raise Later, or Later.new("30s"), to run the job again later. puts goes to the log.
require "json"

# Only the protocol may use stdout: all other output goes to the log.
OUT = $stdout.dup
OUT.sync = true
$stdout.reopen($stderr)

class Later < StandardError
  attr_reader :delay

  def initialize(delay = true)
    @delay = delay
    super("later")
  end
end

def perform(job)
  what, *more = job["args"]
  puts "performing #{job["id"]} attempt #{job["attempt"]}"
  raise ArgumentError, "told to fail" if what == "fail"
  raise Later.new(*more) if what == "later"

  { args: job["args"].size }
end

def outcome(job)
  { result: perform(job) }
rescue Later => e
  { error: { code: 1, message: e.message, data: { retry_later: e.delay } } }
rescue StandardError => e
  { error: { code: 1, message: e.message, data: { exception: e.class.name, backtrace: e.backtrace } } }
end

OUT.write(%({"jsonrpc":"2.0","method":"ready"}\n))
rest = "".b
begin
  loop do # until the end of stdin, which is the end of the work
    rest << $stdin.readpartial(1 << 20)
    *lines, rest = rest.split("\n", -1)
    answers = lines.filter_map do |line|
      message = JSON.parse(line)
      # Jobs run one after another: a "cancel" is read too late to matter, and Windlass kills a worker that hangs.
      next unless message["method"] == "perform"

      "#{JSON.generate({ jsonrpc: "2.0", id: message["id"], **outcome(message["params"]) })}\n"
    end
    OUT.write(answers.join) # once for all that had come
  end
rescue EOFError
  nil
end
