# Sidekiq's jobs: one does nothing, one says when it began.

require "sidekiq"
require "socket"

class Noop
  include Sidekiq::Worker

  def perform(*) = nil
end

class Stamp
  include Sidekiq::Worker

  SOCKET = UDPSocket.new

  def perform(port, number)
    now = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
    SOCKET.send("#{number} #{now}", 0, "127.0.0.1", port)
  end
end

Redis.silence_deprecations = true # of its own calls, thousands of lines a minute
Sidekiq.logger.level = Logger::WARN
