#!/bin/sh
# Runs a script that comes as a parameter. Ruby is wherever Puppet is.
for ruby in /opt/puppetlabs/puppet/bin/ruby ruby; do
  if command -v "$ruby" >/dev/null 2>&1; then exec "$ruby" -x "$0"; fi
done
echo '{"_error":{"kind":"dalang/no-ruby","msg":"This task needs ruby, which is not there","details":{}}}'
exit 1
#!ruby
require 'base64'
require 'json'
require 'open3'
require 'tmpdir'

given = JSON.parse($stdin.read)
name = File.basename(given['name'] || 'script')
# Beside this file, which can be run: /tmp may be mounted noexec.
Dir.mktmpdir('script', __dir__) do |dir|
  file = File.join(dir, name)
  File.binwrite(file, Base64.decode64(given['content']))
  File.chmod(0o700, file)
  out, err, status = Open3.capture3(file, *given['arguments'], chdir: dir)
  code = status.exitstatus || 128 + status.termsig
  puts JSON.generate('stdout' => out.force_encoding('UTF-8').scrub, 'stderr' => err.force_encoding('UTF-8').scrub, 'exit_code' => code)
end
