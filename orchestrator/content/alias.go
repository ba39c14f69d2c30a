package content

import (
	"regexp"
	"strings"

	"dalang/orchestrator/ptype"
)

// aliases finds the types that modules define: in types/name.pp of a module,
// type Module::Name = Type. nil: there is none, or it cannot be read.
func (d *Directory) aliases(modules map[string]string) func(name string) *ptype.Type {
	found := map[string]*ptype.Type{}
	var find func(name string) *ptype.Type
	find = func(name string) *ptype.Type {
		if t, known := found[name]; known {
			return t
		}
		found[name] = nil // a type that is made of itself adds nothing
		module, own, qualified := strings.Cut(strings.ToLower(name), "::")
		home, ok := modules[module]
		if !qualified || !ok {
			return nil
		}
		text, err := d.text(home, "types/"+strings.ReplaceAll(own, "::", "/")+".pp")
		if err != nil {
			return nil
		}
		t := aliased(name, string(text))
		if t != nil {
			t.Alias(find)
		}
		found[name] = t
		return t
	}
	return find
}

// aliased reads the definition of a type. One that cannot be read, and speaks
// of Sensitive, is that.
func aliased(name, text string) *ptype.Type {
	definition := regexp.MustCompile(`(?mi)^[ \t]*type[ \t]+` + regexp.QuoteMeta(name) + `\s*=`).FindStringIndex(text)
	if definition == nil {
		return nil
	}
	text = regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(text[definition[1]:], "")
	t, err := ptype.Parse(text)
	if err != nil && strings.Contains(text, "Sensitive") {
		t, err = ptype.Parse("Sensitive")
	}
	if err != nil {
		return nil
	}
	return t
}
