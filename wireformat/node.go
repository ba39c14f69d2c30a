package wireformat

import (
	"slices"
	"strings"
)

// deactivate reads "deactivate node" 1 to 3. Spec §3.4.
func (d *decoder) deactivate() *Deactivate {
	p := &Deactivate{}
	if d.version < 3 {
		p.Certname = d.bareCertname()
		return p
	}
	d.record(&fields{
		names:    []string{"certname", "producer_timestamp"},
		required: 1,
		read: func(field int) {
			if field == 0 {
				p.Certname = d.text()
			} else {
				p.ProducerTimestamp = d.optionalTime()
			}
		},
	})
	return p
}

// bareCertname reads the payload of version 2, a string, and of version 1, a
// string that holds a JSON string.
func (d *decoder) bareCertname() string {
	text := d.text()
	if d.version > 1 || len(d.problems) > 0 {
		return text
	}
	inner := newDecoder(d.version, d.received, []byte(text))
	defer inner.release()
	name := inner.text()
	if len(inner.problems) > 0 {
		d.problem("must hold a JSON string with the certname")
	}
	return name
}

// expiration reads "configure expiration" 1. Spec §3.5.
func (d *decoder) expiration() *Expiration {
	p := &Expiration{}
	d.record(&fields{
		names:    []string{"certname", "expire", "producer_timestamp"},
		required: 1 | 2,
		read: func(field int) {
			switch field {
			case 0:
				p.Certname = d.text()
			case 1:
				d.record(&fields{names: []string{"facts"}, required: 1, read: func(int) { p.ExpireFacts = d.boolean() }})
			case 2:
				p.ProducerTimestamp = d.optionalTime()
			}
		},
	})
	return p
}

// catalogInputs reads "replace catalog inputs" 1. Spec §3.6. Upstream does not
// validate these and retries the bad ones for hours; here they are the
// command's fault. An empty or absent list of inputs does nothing at all, so
// then nothing else is asked for either.
func (d *decoder) catalogInputs() *CatalogInputs {
	p := &CatalogInputs{}
	if d.null() {
		return p
	}
	hasCertname, hasUUID := false, false
	if !d.record(&fields{
		names: []string{"certname", "producer_timestamp", "catalog_uuid", "inputs"},
		read: func(field int) {
			switch field {
			case 0:
				p.Certname, hasCertname = d.text(), true
			case 1:
				p.ProducerTimestamp = d.optionalTime()
			case 2:
				p.CatalogUUID, hasUUID = d.uuid(), true
			case 3:
				p.Inputs = d.inputs()
			}
		},
		lax: true,
	}) {
		return p
	}
	badInputs := slices.ContainsFunc(d.problems, func(p Problem) bool { return strings.HasPrefix(p.Path, "$.inputs") })
	if len(p.Inputs) == 0 && !badInputs {
		d.problems = nil
		return &CatalogInputs{Certname: p.Certname}
	}
	if !hasCertname {
		d.problems = append(d.problems, Problem{"$.certname", "is required but missing"})
	}
	if !hasUUID {
		d.problems = append(d.problems, Problem{"$.catalog_uuid", "is required but missing"})
	}
	p.Hash = inputsHash(p)
	return p
}

func (d *decoder) inputs() []Input {
	var inputs []Input
	d.list(func(int) {
		var pair [2]string
		count := 0
		ok := d.list(func(n int) {
			count = n + 1
			if n >= len(pair) {
				d.skip()
				return
			}
			pair[n] = d.shared()
		})
		if !ok || count != len(pair) {
			d.problem("must hold exactly a type and a name")
		}
		inputs = append(inputs, Input{pair[0], pair[1]})
	})
	slices.SortFunc(inputs, func(a, b Input) int {
		if c := strings.Compare(a.Type, b.Type); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return slices.Compact(inputs)
}
