# clients.rb URL: what octocatalog-diff reads of the server at URL, of the recorded corpus, in the form of clients.py.
require 'digest'
require 'json'
require 'logger'
require 'octocatalog-diff'
require 'octocatalog-diff/facts'

def canonical(value)
  case value
  when Hash then value.reject { |k, _| k == 'hash' }.sort.to_h { |k, v| [k, canonical(v)] }
  when Array then value.map { |v| canonical(v) }.sort_by(&:to_json)
  when Float then value == value.to_i ? value.to_i : value
  else value
  end
end

def catalog(url, node)
  got = OctocatalogDiff::Catalog::PuppetDB.new(node: node, puppetdb_url: url)
  got.build(Logger.new(nil))
  { 'error' => got.error_message, 'catalog' => got.catalog, 'resources' => got.catalog && got.resources }
end

url = ARGV.fetch(0)
%w[web1 web2 db1 lb1 bad1 plain1 edge1 edge2 edge3 edge4 back gone nobody].each do |name|
  node = "#{name}.example.com"
  {
    'facts' => -> { OctocatalogDiff::Facts::PuppetDB.fact_retriever({ puppetdb_url: url }, node) },
    'packages' => -> { OctocatalogDiff::Facts::PuppetDB.fact_retriever({ puppetdb_url: url, puppetdb_package_inventory: true }, node) },
    'catalog' => -> { catalog(url, node) },
  }.each do |what, call|
    got = begin
      call.call
    rescue OctocatalogDiff::Errors::FactRetrievalError => e
      { 'error' => e.message }
    end
    text = canonical(got).to_json
    puts JSON.generate('call' => "octocatalog-diff #{what} #{node}", 'size' => text.size, 'sha1' => Digest::SHA1.hexdigest(text)[0, 16])
  end
end
