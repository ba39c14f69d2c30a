package ptype

import "slices"

// Sensitive tells whether a value of the type is a secret, or has one somewhere
// in it. What is behind a type that is not known, Alias tells.
func (t *Type) Sensitive() bool {
	return t.name == "Sensitive" || t.alias != nil || slices.ContainsFunc(t.of, (*Type).Sensitive) ||
		slices.ContainsFunc(t.fields, func(f field) bool { return f.typ.Sensitive() })
}

// Alias has the types within t that are not known be as sensitive as what find
// says that they are; nil: it does not know either. What they take does not
// change. Nobody else may use t meanwhile.
func (t *Type) Alias(find func(name string) *Type) {
	if !t.known {
		if of := find(t.name); of != nil && of.Sensitive() {
			t.alias = of
		}
	}
	for _, o := range t.of {
		o.Alias(find)
	}
	for _, f := range t.fields {
		f.typ.Alias(find)
	}
}

// Hide is v, of the type, with wrap's answers in place of its secrets. Where it
// is not plain which part is one, as with keys, wrap gets the whole. wrap may be
// given what it has wrapped, which it then leaves alone; never nil. v stays as it is.
func (t *Type) Hide(v any, wrap func(any) any) any {
	if v == nil || !t.Sensitive() {
		return v
	}
	list, isList := v.([]any)
	hash, isHash := v.(map[string]any)
	switch {
	case t.alias != nil:
		return t.alias.Hide(v, wrap)
	case t.name == "Sensitive":
		for _, o := range t.of { // for who unwraps it
			v = o.Hide(v, wrap)
		}
	case t.name == "Optional", t.name == "NotUndef", t.name == "Variant":
		for _, o := range t.of { // of several, all that one of them takes for a secret
			v = o.Hide(v, wrap)
		}
		return v
	case isList && (t.name == "Array" || t.name == "Tuple"):
		made := make([]any, len(list))
		for i, e := range list {
			of := t.of[0]
			if t.name == "Tuple" {
				of = t.of[min(i, len(t.of)-1)]
			}
			made[i] = of.Hide(e, wrap)
		}
		return made
	case isHash && t.name == "Hash" && !t.of[0].Sensitive():
		made := make(map[string]any, len(hash))
		for k, e := range hash {
			made[k] = t.of[1].Hide(e, wrap)
		}
		return made
	case isHash && t.name == "Struct":
		made := make(map[string]any, len(hash))
		for k, e := range hash {
			made[k] = e
			for _, f := range t.fields {
				if f.name == k {
					made[k] = f.typ.Hide(made[k], wrap)
				}
			}
		}
		return made
	}
	return wrap(v)
}

// CheckSecret is Check of a value that is a secret, or has one in it: of that
// its *Mismatch says nothing, not even where it is not of the type.
func (t *Type) CheckSecret(v any) error {
	m := t.check(v, "")
	if m == nil {
		return nil
	}
	got := kind(v)
	switch {
	case m.Path != "":
		got = "another " + got
	case m.miss != "":
		got = m.miss
	}
	return &Mismatch{Expected: t.text, Got: got}
}
