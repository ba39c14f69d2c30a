package apply

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Resource is one that a step names.
type Resource struct {
	Type    string         // in any case
	Title   string         //
	Params  map[string]any // values as JSON has them; secrets in clear, nil for not given
	Secrets []string       // names of those of Params that hold one, sorted
	// Open: type or title are not known yet, and neither is checked.
	Open bool
}

// Ref is the resource as others refer to it: Package[nginx].
func (r *Resource) Ref() string { return reference(r.Type, r.Title) }

func reference(kind, title string) string { return capital(kind) + "[" + title + "]" }

// capital is a type as Puppet writes it in references.
func capital(kind string) string {
	kind = strings.ToLower(strings.TrimPrefix(kind, "::"))
	if kind == "" {
		return ""
	}
	return strings.ToUpper(kind[:1]) + kind[1:]
}

// Mistake is why resources are no catalog.
type Mistake struct {
	Index int    // of the resource
	Key   string // type, title, parameters.ensure; "": the resource as a whole
	Msg   string
}

func (m *Mistake) Error() string { return m.Where("resources") + ": " + m.Msg }

// Where is its place below the list's.
func (m *Mistake) Where(list string) string {
	where := fmt.Sprintf("%s[%d]", list, m.Index)
	if m.Key != "" {
		where += "." + m.Key
	}
	return where
}

// Check tells whether resources make a catalog. Its error is a *Mistake, which
// shows nothing of secrets.
func Check(list []Resource) error {
	c := checker{first: map[string]int{}}
	for i := range list {
		if list[i].Open {
			c.open = true
			continue
		}
		if key, msg := checkName(&list[i]); msg != "" {
			return &Mistake{i, key, msg}
		}
		ref := list[i].Ref()
		if before, twice := c.first[ref]; twice {
			return &Mistake{i, "", fmt.Sprintf("%s is there a second time; the first one is resources[%d]", ref, before)}
		}
		c.first[ref] = i
	}
	for i := range list {
		if key, msg := c.params(i, &list[i]); msg != "" {
			return &Mistake{i, key, msg}
		}
	}
	return nil
}

var (
	typeName      = regexp.MustCompile(`\A(::)?[A-Za-z][A-Za-z0-9_]*\z`)
	parameterName = regexp.MustCompile(`\A[a-z][a-z0-9_]*\z`)
	referencing   = regexp.MustCompile(`(?s)\A([A-Za-z][A-Za-z0-9_:]*)\[(.+)\]\z`)
)

// CheckType says what is wrong with the name of a type, "" for nothing.
func CheckType(name string) string {
	const compiled = "have to be compiled, and nothing here compiles: name the resources that it consists of, or run Puppet on nodes " +
		"that have it; a plan in the Puppet language, which the external runner runs, can have it"
	switch lower := strings.TrimPrefix(strings.ToLower(name), "::"); {
	case lower == "class":
		return "classes " + compiled
	case strings.Contains(lower, "::"):
		return fmt.Sprintf("%s is a defined type of a module; these %s", name, compiled)
	case !typeName.MatchString(name):
		return fmt.Sprintf("%q is not the name of a type: a letter, then letters, digits and _", name)
	case slices.Contains([]string{"component", "node", "stage", "whit"}, lower):
		return fmt.Sprintf("%s is for Puppet's own use, and no type of a resource that a plan can name", name)
	}
	return ""
}

func checkName(r *Resource) (key, msg string) {
	if msg := CheckType(r.Type); msg != "" {
		return "type", msg
	}
	if r.Title == "" || strings.ContainsRune(r.Title, 0) {
		return "title", "the title is a text that is not empty and has no NUL"
	}
	return "", ""
}

// checker knows where resources are.
type checker struct {
	first map[string]int // by reference
	open  bool           // there may be others
}

func (c *checker) params(i int, r *Resource) (key, msg string) {
	names := make([]string, 0, len(r.Params))
	for name := range r.Params {
		names = append(names, name)
	}
	slices.Sort(names) // the first mistake is the same each time
	for _, name := range names {
		key, v := "parameters."+name, r.Params[name]
		switch {
		case !parameterName.MatchString(name):
			return key, "the name of a parameter is a lower-case letter, then such letters, digits and _"
		case name == "stage":
			return key, "only classes have a stage"
		case rich(v):
			return key, "a map has the key __ptype or __pvalue, which Puppet would take for something else than a map"
		case !relationship(name):
			continue
		case slices.Contains(r.Secrets, name):
			return key, "a relationship to another resource is no secret"
		}
		if msg := c.relation(i, name, v); msg != "" {
			return key, msg
		}
	}
	return "", ""
}

func relationship(name string) bool { return follows(name) || precedes(name) }

// follows tells whether a parameter names what has to be applied before.
func follows(name string) bool { return name == "require" || name == "subscribe" }

// precedes tells whether it names what has to be applied afterwards.
func precedes(name string) bool { return name == "before" || name == "notify" }

// rich tells whether Puppet would make something of a value that it is not.
func rich(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, rich)
	case map[string]any:
		for k, e := range v {
			if k == "__ptype" || k == "__pvalue" || rich(e) {
				return true
			}
		}
	}
	return false
}

// relation checks what a resource says of its order.
func (c *checker) relation(i int, name string, v any) string {
	const expected = "the reference to a resource is expected, Type[title], or a list of such"
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		for _, one := range v {
			if _, text := one.(string); !text {
				return expected
			}
			if msg := c.relation(i, name, one); msg != "" {
				return msg
			}
		}
		return ""
	case string:
		parts := referencing.FindStringSubmatch(v)
		if parts == nil {
			return fmt.Sprintf("%s, and there is %q", expected, v)
		}
		ref := reference(parts[1], parts[2])
		at, known := c.first[ref]
		switch {
		case known && at == i:
			return ref + " is this resource itself"
		case known && follows(name) && at > i:
			return ref + " comes later in the list, and resources are applied in its order"
		case known && precedes(name) && at < i:
			return ref + " comes earlier in the list, and resources are applied in its order"
		case known || c.open:
			return ""
		case strings.ContainsAny(parts[2][:1], `'"`):
			return fmt.Sprintf("there is no %s in the list; titles stand in references without quotes", ref)
		}
		return fmt.Sprintf("there is no %s in the list", ref)
	}
	return expected
}
