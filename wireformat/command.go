package wireformat

// Command is the name of a command in its canonical spelling, with spaces.
// The set is closed: spec commands.md §2.
type Command string

// The six commands.
const (
	ReplaceCatalog       Command = "replace catalog"
	ReplaceCatalogInputs Command = "replace catalog inputs"
	ReplaceFacts         Command = "replace facts"
	StoreReport          Command = "store report"
	DeactivateNode       Command = "deactivate node"
	ConfigureExpiration  Command = "configure expiration"
)

// Versions is what is known about a command beside its name.
type Versions struct {
	Command   Command
	Tag       string // the command's word in a queue file name
	Oldest    int    // oldest version that Decode understands
	MinPosted int    // oldest version that a submission may carry
	Latest    int
}

// Commands returns every command, sorted by name.
func Commands() []Versions {
	return []Versions{
		{ConfigureExpiration, "set-expire", 1, 1, 1},
		{DeactivateNode, "rm-node", 1, 3, 3},
		{ReplaceCatalog, "catalog", 4, 6, 9},
		{ReplaceCatalogInputs, "inputs", 1, 1, 1},
		{ReplaceFacts, "facts", 2, 4, 5},
		{StoreReport, "report", 3, 5, 8},
	}
}

// Lookup finds a command by its exact name.
func Lookup(name string) (Versions, bool) {
	for _, v := range Commands() {
		if string(v.Command) == name {
			return v, true
		}
	}
	return Versions{}, false
}

// LookupTag finds a command by its word in queue file names.
func LookupTag(tag string) (Versions, bool) {
	for _, v := range Commands() {
		if v.Tag == tag {
			return v, true
		}
	}
	return Versions{}, false
}

// Tag is the command's word in queue file names, or "unknown".
func (c Command) Tag() string {
	if v, ok := Lookup(string(c)); ok {
		return v.Tag
	}
	return "unknown"
}
