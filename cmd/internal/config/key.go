package config

import (
	"reflect"
	"strings"
)

// Key is one setting: its place in a file and in the struct.
type Key struct {
	Section, Name string
	Type          string // Go type, without package
	field         []int  // of Config
}

// String is section.name.
func (k Key) String() string { return k.Section + "." + k.Name }

// Env is the variable that overrides files: DALANG_LISTEN for dalang.listen,
// DALANG_DATABASE_NODE_TTL for database.node-ttl.
func (k Key) Env() string {
	name := k.String()
	if k.Section == "dalang" {
		name = k.Name
	}
	return "DALANG_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// Keys lists all settings in the order of Config.
func Keys() []Key {
	var keys []Key
	root := reflect.TypeFor[Config]()
	for i := range root.NumField() {
		section := root.Field(i)
		for j := range section.Type.NumField() {
			field := section.Type.Field(j)
			keys = append(keys, Key{
				Section: section.Tag.Get("section"), Name: field.Tag.Get("key"),
				Type: strings.ToLower(field.Type.Name()), field: []int{i, j},
			})
		}
	}
	return keys
}

// Text is the setting's value in c, as it stands in a file.
func (k Key) Text(c *Config) string { return text(reflect.ValueOf(c).Elem().FieldByIndex(k.field)) }

func (k Key) set(c *Config, value string) error {
	return set(reflect.ValueOf(c).Elem().FieldByIndex(k.field), value)
}

// ours tells whether PuppetDB does not know the section.
func ours(section string) bool {
	switch section {
	case "dalang", "queue", "dlo", "store", "query", "log", "orchestrator", "pcp", "rbac":
		return true
	}
	return false
}
