#!/bin/sh
# Writes a file, or a directory, that comes as a parameter. Ruby is wherever
# Puppet is.
for ruby in /opt/puppetlabs/puppet/bin/ruby ruby; do
  if command -v "$ruby" >/dev/null 2>&1; then exec "$ruby" -x "$0"; fi
done
echo '{"_error":{"kind":"dalang/no-ruby","msg":"This task needs ruby, which is not there","details":{}}}'
exit 1
#!ruby
require 'base64'
require 'json'
require 'open3'

given = JSON.parse($stdin.read)
path = given['path']
mode = given['mode'] & 0o7777
content = Base64.decode64(given['content'])
if given['directory']
  Dir.mkdir(path, mode)
  File.chmod(mode, path)
  _, err, status = Open3.capture3('tar', '-xzf', '-', '-C', path, stdin_data: content, binmode: true)
  abort err unless status.success?
else
  File.open(path, 'wb', mode) do |f|
    f.chmod(mode)
    f.write(content)
  end
end
puts JSON.generate('success' => true)
