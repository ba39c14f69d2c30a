package pdb

// CompatibleVersion is the PuppetDB version that Dalang answers as: clients
// choose their requests by it. Dalang's own version stands in the header
// X-Dalang-Version and in `dalang version`.
const CompatibleVersion = "8.8.2"
