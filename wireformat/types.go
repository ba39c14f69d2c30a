package wireformat

import "time"

// JSON is a value in canonical form: object keys sorted (by UTF-16 units, as
// Java sorts strings), no white space, doubles as Java prints them, integers
// of any size verbatim, NUL and bad UTF-8 as U+FFFD. nil stands for an absent
// or null value where the field allows one. Two values are equal exactly when
// their canonical texts are. Spec commands.md §10.
type JSON []byte

// Payload is the decoded, upgraded and validated form of a command: always
// the latest version, one struct per kind. Times are UTC with millisecond
// precision. A payload never aliases the body it was decoded from.
type Payload interface {
	// Kind tells which command this is the payload of.
	Kind() Command
	// Node is the certname that the payload is about. It may be empty only for
	// catalog inputs that carry nothing.
	Node() string
}

// Facts is the payload of "replace facts" 5. Spec §3.1.
type Facts struct {
	Certname          string
	Environment       *string
	Producer          *string
	ProducerTimestamp time.Time
	Values            []Fact    // one per top-level name, sorted by name
	Packages          []Package // sorted, without duplicates

	hash string // of the facts as decoded; see Hash and SetValues
}

// Fact is one top-level fact, its structured value whole.
type Fact struct {
	Name  string
	Value JSON // never nil: a null fact is the text null
}

// Package is one element of a package inventory.
type Package struct{ Name, Version, Provider string }

// Catalog is the payload of "replace catalog" 9. Spec §3.2.
type Catalog struct {
	Certname          string
	Version           string
	Environment       *string
	TransactionUUID   *string // lower-case with dashes
	CatalogUUID       *string // lower-case with dashes
	CodeID            *string
	JobID             *string
	Producer          *string
	ProducerTimestamp time.Time
	Resources         []Resource // sorted by type, then title; unique
	Edges             []Edge     // sorted, without duplicates
	// Hash is the similarity hash: equal for equal certname, resources and
	// edges, whatever the order they came in. 40 lower-case hex digits. Spec §10.
	Hash string

	unread *unreadCatalog // of CatalogTexts: Resources and Edges are still to be read
}

// Resource is one resource of a catalog.
type Resource struct {
	Type, Title string
	Exported    bool
	File        *string
	Line        *int64
	Tags        []string // sorted, without duplicates
	Parameters  JSON     // an object, or nil
	// Hash is the SHA-1 of [type, title, parameters]; upstream's, byte for
	// byte (40 lower-case hex digits). Spec §10.
	Hash string
}

// Relationship is the kind of an edge.
type Relationship uint8

// The five relationships, in the order of their stored numbers.
const (
	Contains Relationship = iota + 1
	Before
	RequiredBy
	Notifies
	SubscriptionOf
)

// Edge joins two resources of the same catalog by their index in Resources.
type Edge struct {
	Source, Target int32
	Relationship   Relationship
}

// Report is the payload of "store report" 8. Spec §3.3.
type Report struct {
	Certname             string
	Environment          string
	PuppetVersion        string
	ReportFormat         int64
	ConfigurationVersion string
	StartTime            time.Time
	EndTime              time.Time
	ProducerTimestamp    time.Time
	TransactionUUID      *string // lower-case with dashes
	CatalogUUID          *string // lower-case with dashes
	CodeID               *string
	JobID                *string
	CachedCatalogStatus  *string
	Producer             *string
	Status               *string
	Noop                 *bool
	NoopPending          *bool
	CorrectiveChange     *bool
	Type                 string // "agent" or "plan"
	Metrics              JSON   // an array, or nil
	Logs                 JSON   // an array, or nil
	// Resources is the resources list in the shape of version 8 and canonical
	// form, whatever version was sent, kept for queries of unchanged resources;
	// nil when version 8 sent null.
	Resources JSON
	// Events are the rows that the resources give rise to: skipped resources
	// fabricate one, unchanged resources none; without duplicates. Spec §6.6.
	Events []Event
	// Hash identifies the report; upstream's, byte for byte. Spec §10.
	Hash string
}

// Event is one resource event of a report, with its resource's fields.
type Event struct {
	Status           string
	Timestamp        time.Time
	ResourceType     string
	ResourceTitle    string
	Property         *string
	Name             *string
	OldValue         JSON // nil for a skipped resource
	NewValue         JSON // nil for a skipped resource
	Message          *string
	File             *string
	Line             *int64
	ContainmentPath  []string // nil when null
	ContainingClass  *string
	CorrectiveChange *bool
}

// Deactivate is the payload of "deactivate node" 3. Spec §3.4.
type Deactivate struct {
	Certname          string
	ProducerTimestamp time.Time // zero: use the time of processing
}

// Expiration is the payload of "configure expiration" 1. Spec §3.5.
type Expiration struct {
	Certname          string
	ProducerTimestamp time.Time // zero: use the time of processing
	ExpireFacts       bool
}

// CatalogInputs is the payload of "replace catalog inputs" 1. Spec §3.6.
// Without inputs the command does nothing at all.
type CatalogInputs struct {
	Certname          string
	ProducerTimestamp time.Time // zero: use the time of processing
	CatalogUUID       string    // lower-case with dashes
	Inputs            []Input   // sorted, without duplicates
	Hash              string    // Spec §10
}

// Input is one thing that a catalog was compiled from.
type Input struct{ Type, Name string }

// Kind and Node make each payload a Payload.

func (*Facts) Kind() Command         { return ReplaceFacts }
func (*Catalog) Kind() Command       { return ReplaceCatalog }
func (*Report) Kind() Command        { return StoreReport }
func (*Deactivate) Kind() Command    { return DeactivateNode }
func (*Expiration) Kind() Command    { return ConfigureExpiration }
func (*CatalogInputs) Kind() Command { return ReplaceCatalogInputs }

func (p *Facts) Node() string         { return p.Certname }
func (p *Catalog) Node() string       { return p.Certname }
func (p *Report) Node() string        { return p.Certname }
func (p *Deactivate) Node() string    { return p.Certname }
func (p *Expiration) Node() string    { return p.Certname }
func (p *CatalogInputs) Node() string { return p.Certname }
