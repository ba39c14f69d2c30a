package wireformat

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"time"
)

// Hashes are SHA-1 over canonical JSON, in lower-case hex. Spec commands.md §10.

func hexSHA1(b []byte) string {
	sum := sha1.Sum(b)
	return hex.EncodeToString(sum[:])
}

// resourceHash is over [type, title, parameters]. Upstream's parser makes
// keywords of the keys in parameters, which only shows in their order.
func (g *graph) resourceHash(r *Resource) string {
	parameters := r.Parameters
	if g.slashes {
		c := canonicalizer{scanner: scanner{b: parameters}, keywords: true}
		parameters = c.canonical(nil)
	}
	b := append(g.sorting[:0], '[')
	b = appendString(b, r.Type)
	b = append(b, ',')
	b = appendString(b, r.Title)
	b = append(b, ',')
	b = appendJSON(b, parameters)
	g.sorting = append(b, ']')
	sum := sha1.Sum(g.sorting)
	var text [2 * sha1.Size]byte
	hex.Encode(text[:], sum[:])
	return g.string(text[:])
}

func appendJSON(b []byte, v JSON) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	return append(b, v...)
}

func appendOptional(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	return appendString(b, *s)
}

// Hash is the factset's hash: over certname, environment, values and, if there
// are any, packages. Decode has computed it already.
func (f *Facts) Hash() string {
	if f.hash == "" {
		f.hash = hexSHA1(f.appendIdentity(nil))
	}
	return f.hash
}

// SetValues replaces the facts, which must be sorted by name, as the store
// does when some of them are blocked.
func (f *Facts) SetValues(values []Fact) {
	f.Values, f.hash = values, ""
}

// PackagesHash tells package inventories apart; "" for an empty one.
func (f *Facts) PackagesHash() string {
	if len(f.Packages) == 0 {
		return ""
	}
	h := sha1.New()
	var b []byte
	for _, p := range f.Packages {
		b = appendField(appendField(appendField(b[:0], p.Name), p.Version), p.Provider)
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// appendIdentity appends the text that is hashed.
func (f *Facts) appendIdentity(b []byte) []byte {
	b = append(b, `{"certname":`...)
	b = appendString(b, f.Certname)
	b = append(b, `,"environment":`...)
	b = appendOptional(b, f.Environment)
	if len(f.Packages) > 0 {
		b = append(b, `,"package_inventory":[`...)
		for i, p := range f.Packages {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(append(b, '['), p.Name)
			b = appendString(append(b, ','), p.Version)
			b = appendString(append(b, ','), p.Provider)
			b = append(b, ']')
		}
		b = append(b, ']')
	}
	b = append(b, `,"values":{`...)
	for i, v := range f.Values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v.Name)
		b = append(b, ':')
		b = append(b, v.Value...)
	}
	return append(b, "}}"...)
}

// reportHash is over the eight fields that identify a report. Upstream hashes
// transaction_uuid in the spelling that it came in.
func reportHash(r *Report, transaction *string) string {
	b := make([]byte, 0, 512)
	b = appendString(append(b, `{"certname":`...), r.Certname)
	b = appendString(append(b, `,"configuration_version":`...), r.ConfigurationVersion)
	b = appendTime(append(b, `,"end_time":`...), r.EndTime)
	b = appendTime(append(b, `,"producer_timestamp":`...), r.ProducerTimestamp)
	b = appendString(append(b, `,"puppet_version":`...), r.PuppetVersion)
	b = strconv.AppendInt(append(b, `,"report_format":`...), r.ReportFormat, 10)
	b = appendTime(append(b, `,"start_time":`...), r.StartTime)
	b = appendOptional(append(b, `,"transaction_uuid":`...), transaction)
	return hexSHA1(append(b, '}'))
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), timeLayout), '"')
}

// inputsHash is over certname NUL (type NUL name NUL)*.
func inputsHash(p *CatalogInputs) string {
	b := append([]byte(p.Certname), 0)
	for _, in := range p.Inputs {
		b = append(append(b, in.Type...), 0)
		b = append(append(b, in.Name...), 0)
	}
	return hexSHA1(b)
}

// catalogHash is ours: upstream's depends on the order of a Clojure set. It
// covers what upstream's covers: certname, resources with all their fields, edges.
func (g *graph) catalogHash(c *Catalog) string {
	b := appendField(g.canon[:0], c.Certname)
	for i := range c.Resources {
		r := &c.Resources[i]
		b = append(b, r.Hash...)
		flags := byte(0)
		if r.Exported {
			flags |= 1
		}
		if r.File != nil {
			flags |= 2
		}
		if r.Line != nil {
			flags |= 4
		}
		b = append(b, flags)
		if r.File != nil {
			b = appendField(b, *r.File)
		}
		if r.Line != nil {
			b = binary.AppendVarint(b, *r.Line)
		}
		b = binary.AppendUvarint(b, uint64(len(r.Tags)))
		for _, tag := range r.Tags {
			b = appendField(b, tag)
		}
	}
	for _, e := range c.Edges {
		b = binary.AppendUvarint(b, uint64(e.Source))
		b = binary.AppendUvarint(b, uint64(e.Target))
		b = append(b, byte(e.Relationship))
	}
	g.canon = b
	return hexSHA1(b)
}

func appendField(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// uniqueEvents drops events that repeat an earlier one of the same report.
func uniqueEvents(events []Event) []Event {
	seen := make(map[[sha1.Size]byte]bool, len(events))
	var b []byte
	return slices.DeleteFunc(events, func(e Event) bool {
		b = appendField(b[:0], e.ResourceType)
		b = appendField(b, e.ResourceTitle)
		b = appendOptional(b, e.Property)
		b = binary.AppendVarint(b, e.Timestamp.UnixMilli())
		b = appendField(b, e.Status)
		b = appendJSON(append(b, 0), e.OldValue)
		b = appendJSON(append(b, 0), e.NewValue)
		b = appendOptional(append(b, 0), e.Message)
		b = appendOptional(b, e.Name)
		b = appendOptional(b, e.File)
		if e.Line != nil {
			b = binary.AppendVarint(b, *e.Line)
		}
		key := sha1.Sum(b)
		if seen[key] {
			return true
		}
		seen[key] = true
		return false
	})
}
