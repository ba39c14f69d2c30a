package wireformat

import "slices"

// Fields of "replace facts", by position in factsFields.
const (
	factsCertname = iota
	factsEnvironment
	factsValues
	factsProducerTimestamp
	factsProducer
	factsPackages
	factsTimestamp // tolerated: the server overwrites it
)

func factsFields() []string {
	return []string{"certname", "environment", "values", "producer_timestamp", "producer", "package_inventory", "timestamp"}
}

// facts reads "replace facts" 2 to 5. Spec §3.1.
func (d *decoder) facts() *Facts {
	f := &Facts{}
	shape := fields{
		names:    factsFields(),
		required: 1<<factsCertname | 1<<factsEnvironment | 1<<factsValues | 1<<factsProducerTimestamp,
		read: func(field int) {
			switch field {
			case factsCertname:
				f.Certname = d.text()
			case factsEnvironment:
				f.Environment = d.optionalText()
			case factsValues:
				f.Values = d.factValues()
			case factsProducerTimestamp:
				f.ProducerTimestamp = d.anyTime()
			case factsProducer:
				f.Producer = d.optionalText()
			case factsPackages:
				f.Packages = d.packages()
			case factsTimestamp:
				d.skip()
			}
		},
	}
	switch {
	case d.version >= 5:
		shape.required |= 1 << factsProducer
	case d.version <= 3:
		shape.alias = oldFactsKey
	}
	if d.version == 2 {
		shape.required &^= 1 << factsProducerTimestamp
	}
	d.record(&shape)
	if d.version == 2 {
		factsV2toV3(f, d)
	}
	if d.version <= 4 {
		factsV4toV5(f)
	}
	if len(d.problems) == 0 {
		d.canon = f.appendIdentity(d.canon[:0])
		f.hash = hexSHA1(d.canon)
	}
	return f
}

// oldFactsKey gives the present name of a key of versions 2 and 3.
func oldFactsKey(key []byte) []byte {
	switch string(key) {
	case "name":
		return []byte("certname")
	case "producer-timestamp":
		return []byte("producer_timestamp")
	case "certname", "producer_timestamp":
		return []byte("(" + string(key) + ")") // unknown to these versions
	}
	return key
}

// factsV2toV3: the time of production was not sent yet.
func factsV2toV3(f *Facts, d *decoder) { f.ProducerTimestamp = d.received }

// factsV4toV5: a producer is not part of version 4 and is dropped if sent.
func factsV4toV5(f *Facts) { f.Producer = nil }

// factValues reads the top-level facts, sorted; of a repeated name the last wins.
func (d *decoder) factValues() []Fact {
	if d.next() != '{' {
		d.wrongType("an object")
		return nil
	}
	values := d.facts1[:0]
	sorted := true
	d.object(func(key []byte) {
		name := d.string(key)
		if n := len(values); n > 0 && compareNames(values[n-1].Name, name) >= 0 {
			sorted = false
		}
		values = append(values, Fact{name, d.value()})
	})
	d.facts1 = values
	if sorted {
		return slices.Clone(values)
	}
	slices.SortStableFunc(values, func(a, b Fact) int { return compareNames(a.Name, b.Name) })
	kept := make([]Fact, 0, len(values))
	for i, v := range values {
		if i+1 == len(values) || values[i+1].Name != v.Name {
			kept = append(kept, v)
		}
	}
	return kept
}

// compareNames is compareText for strings.
func compareNames(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			if a[i] >= 0xEE && b[i] >= 0xEE {
				return compareText([]byte(a), []byte(b))
			}
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}

// packages reads a package inventory: [name, version, provider] triples.
func (d *decoder) packages() []Package {
	read := d.packages1[:0]
	d.list(func(int) {
		var triple [3]string
		count := 0
		ok := d.list(func(n int) {
			count = n + 1
			if n >= len(triple) {
				d.skip()
				return
			}
			triple[n] = d.shared()
		})
		if !ok || count != len(triple) {
			d.problem("must hold exactly name, version and provider")
		}
		read = append(read, Package{triple[0], triple[1], triple[2]})
	})
	d.packages1 = read
	if len(read) == 0 {
		return nil
	}
	order := make([]int32, len(read)) // sorting these moves less than sorting triples
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return comparePackages(&read[a], &read[b]) })
	packages := make([]Package, 0, len(read))
	for _, i := range order {
		if n := len(packages); n == 0 || packages[n-1] != read[i] {
			packages = append(packages, read[i])
		}
	}
	return packages
}

func comparePackages(a, b *Package) int {
	if c := compareNames(a.Name, b.Name); c != 0 {
		return c
	}
	if c := compareNames(a.Version, b.Version); c != 0 {
		return c
	}
	return compareNames(a.Provider, b.Provider)
}
