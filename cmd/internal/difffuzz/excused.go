package difffuzz

import (
	"regexp"
	"slices"
	"strings"

	"dalang/store/query/ast"
	"dalang/store/query/conformance"
)

// excuse is a kind of difference that is none. Each condition that is given
// has to hold.
type excuse struct {
	why          string
	theirs, ours *regexp.Regexp // of the texts of errors: given, there has to be one
	accepted     bool           // ours is no error, though theirs is
	request      *regexp.Regexp // of the query's text
	when         func(*Request) bool
}

// excuses lists where the other server is wrong, and where Dalang differs on
// purpose (docs/compatibility.md).
func excuses() []excuse {
	rx := regexp.MustCompile
	return append([]excuse{
		{why: "8.8.2 has another text", theirs: rx("^(Your initial query must be of the form|Your `from` query accepts)"), ours: rx(`.`)},
		{why: "of several mistakes each tells another", theirs: rx(`^([^PJ]|PDB)`), ours: rx(`.`), when: func(r *Request) bool { return r.Mutated }},
		{why: "it is an accident of its implementation", theirs: rx(`^(No implementation of method|No matching clause: [^a-z]|Don't know how to create ISeq)`)},
		{why: "Clojure has several types of objects", theirs: rx(`^All values in array must be the same type`), request: rx(`\{`)},
		{why: "an entity that is not known is", theirs: rx(`^(Can't extract unknown 'null'|'.*' is not a queryable object for null)`), ours: rx(`.`)},
		{why: "what a function may be named or take is not checked before it fails", ours: rx(`^(Unknown function|function |Can't apply function|aggregate functions|\[".*\] is not a valid argument|column )`)},
		{why: "a query that is only shown is not checked for types", ours: rx(`.`), when: func(r *Request) bool { return r.has("ast_only", "true") }},
		{why: "what follows paging clauses or a condition is ignored, and may be nonsense", ours: rx(`^This query must be of the form|is not a valid expression for "extract"$`)},
		{why: "the shape of the whole query is checked before its meaning", theirs: rx(`.`), ours: rx(shape)},
		{why: "of unknown fields each tells others first", theirs: rx(`is not a queryable object`), ours: rx(`^Can't (extract|match on) unknown`)},
		{why: "of unknown fields each tells others first", theirs: rx(`^Can't (extract|match on) unknown`), ours: rx(`is not a queryable object`)},
		{why: "values are checked before the relation that leads to them", theirs: rx(`^(Invalid \S+ clause|Query operators )`), ours: rx(`.`)},
		{why: "everything up to the last quote is one pattern", theirs: rx(`^ERROR: invalid regular expression`), request: rx(`match\(.*match\(`)},
		{why: "NUL is found when the rest is right", theirs: rx(`.`), ours: rx(`^ERROR: invalid byte sequence`)},
		{why: "dates and times in odd spellings are found not to be some", ours: rx(`is not a valid timestamp value$`)},
		{why: "functions of names of facts fail, or show names", request: rx(`"function"`), when: func(r *Request) bool { return r.Entity == "fact_names" }},
		{why: "it mixes up the parameters of its statement", when: func(r *Request) bool {
			_, filtered := r.param("counts_filter")
			return filtered && r.Path == "/aggregate-event-counts" && r.has("distinct_resources", "true")
		}},
		{why: "where only some of many places exist, not of match() is unknown", request: rx(`(?s)(not|!).*match\(`)},
		{why: "node_state is a field of every entity until it is compared", ours: rx(`^'node_state' is not a queryable object`), theirs: rx(`^No matching clause`)},
		{why: "8.8.2 wants a boolean", ours: rx(`is incompatible with field "latest_report\?"`)},
		{why: "event counts ignore conditions that are none", ours: rx(shape), when: func(r *Request) bool { return r.Entity == "event_counts" }},
		{why: "an empty condition is refused wherever it stands", ours: rx(`^\[\] is not well-formed`)},
		{why: "a rule for values takes the condition for one", request: rx(`\["(extract|EXTRACT)", ?"(new|old)_value"`)},
		{why: "not around a comparison within a document negates only a part of it", when: negatedPart},
		{why: "a node without reports makes everything unknown that is not in a latest report", when: negatedLatest},
		{why: "the names of columns lose their capitals", when: capitalColumn},
		{why: "the order of what in compares with is SQL as it is written, and may name columns around it", ours: rx(`specified in :order_by`), request: rx(`"in"`)},
		{why: "its web server has a page of its own", theirs: rx(`^<h1>Bad Message 414</h1>`), ours: rx(`^URI Too Long`)},
		{why: "what is asked for is looked for before a parameter is found to be there twice", theirs: rx(`No information is known about`), ours: rx(`was given more than once`)},
		{why: "8.8.2 looks at numbers only, not at texts that look like some", request: rx(`"function", ?"(avg|sum|min|max|count)", ?"value"`)},
		{why: "the names of facts lose their order where their nodes' state is asked for", request: rx(`"node_state"`), when: func(r *Request) bool { return r.Path == "" && r.Entity == "fact_names" }},
		{why: "the lists of a column that is there twice have an order of their own", when: repeatedColumn},
		{why: "sets have no order that two servers share", when: ordersTags},
	}, supersets()...)
}

// supersets lists what only Dalang takes.
func supersets() []excuse {
	rx := regexp.MustCompile
	return []excuse{
		{why: "the walk for types of reports refuses what the rest accepts", theirs: rx(`^AST validation failed, but was successfully converted to SQL`)},
		{why: "PQL may name every entity", theirs: rx(`^PQL parse error`), request: rx(`\b(producers|fact_names|catalog_inputs|catalog_input_contents)\b`)},
		{why: "every entity may be queried within in", theirs: rx("^(Unsupported subquery `select_fact_names`|Can't extract unknown 'null' field)"), accepted: true},
		{why: "package_inventory belongs to nodes", theirs: rx(`^No implicit relationship for entity 'package_inventory'`)},
		{why: "the older form of events knows every field", theirs: rx(`is not a queryable object for version 4 of the resource events API|does not support object '.*' for resource events`), accepted: true},
		{why: "the old form without a condition is taken wherever it makes sense", theirs: rx(`^Can't extract unknown`), request: rx(`\["select_[a-z_]+"\]`)},
		{why: "operators may be upper-case wherever they stand", theirs: rx(`is not a valid expression for "extract"`), request: rx(`\["[A-Z]+"`)},
		{why: "operators may be upper-case wherever they stand", theirs: rx("^Unsupported subquery `[A-Z]+`")},
		{why: "one function to extract needs no list around it", theirs: rx(`^Can't extract unknown '\w+' fields? 'function'`)},
		{why: "null is no query wherever it stands for one", theirs: rx("^Your `from` query accepts"), accepted: true},
	}
}

// shape matches the texts of mistakes in the shape of a query.
const shape = `is not well-formed|requires? |is not a valid (source|subquery|field|argument|column list)|^'(and|or|not)' takes|can not be extracted$`

// excused says why a difference is none; "" is no excuse.
func excused(r *Request, theirs, ours conformance.Answer) string {
	if ours.Status >= 500 {
		return ""
	}
	query, _ := r.text()
	text := func(a conformance.Answer) string {
		if a.Status < 400 {
			return ""
		}
		return strings.TrimSpace(string(a.Body))
	}
	for _, e := range excuses() {
		if (e.theirs == nil || text(theirs) != "" && e.theirs.MatchString(text(theirs))) &&
			(e.ours == nil || text(ours) != "" && e.ours.MatchString(text(ours))) &&
			(!e.accepted || ours.Status == 200 && theirs.Status >= 400) &&
			(e.request == nil || e.request.MatchString(query)) &&
			(e.when == nil || e.when(r)) {
			return e.why
		}
	}
	return ""
}

// mentions lists the path and every word of a query.
func (r *Request) mentions() string {
	text, _ := r.text()
	return r.Path + " " + r.Entity + " " + text
}

// negatedPart tells whether a comparison within a document is negated itself
// rather than within and or or.
func negatedPart(r *Request) bool {
	if r.Query == nil {
		return false
	}
	found := false
	walk(*r.Query, func(v ast.Value) {
		if head, _ := v.Head(); head == "not" && len(v.Items) == 2 {
			found = found || partwise(v.Items[1])
		}
	})
	return found
}

// partwise tells whether v is a comparison within a document that consists of
// the comparison and a test whether there is anything to compare with.
func partwise(v ast.Value) bool {
	op, _ := v.Head()
	if len(v.Items) != 3 || v.Items[1].Kind != ast.String {
		return false
	}
	field := v.Items[1].Text
	dotted := inDocument(field)
	switch op {
	case "~", "<", "<=", ">", ">=":
		return dotted
	case "=":
		return dotted && strings.Contains(field, "]")
	}
	return false
}

// negatedLatest tells whether latest_report? of events is negated, or has to be
// false.
func negatedLatest(r *Request) bool {
	return r.Query != nil && strings.Contains(r.mentions(), "event") && latestUnder(*r.Query, false)
}

func latestUnder(v ast.Value, negated bool) bool {
	head, _ := v.Head()
	if head == "=" && len(v.Items) == 3 && v.Items[1].Text == "latest_report?" {
		return negated || !v.Items[2].Truthy()
	}
	negated = negated || strings.EqualFold(head, "not")
	return slices.ContainsFunc(v.Items, func(x ast.Value) bool { return latestUnder(x, negated) })
}

// capitalColumn tells whether rows have a column that is a place within a
// document with capitals in its name.
func capitalColumn(r *Request) bool {
	return slices.ContainsFunc(r.level().columns, func(name string) bool { return inDocument(name) && strings.ToLower(name) != name })
}

// repeatedColumn tells whether rows have a column twice.
func repeatedColumn(r *Request) bool {
	columns := slices.Sorted(slices.Values(r.level().columns))
	return len(slices.Compact(columns)) < len(r.level().columns)
}

func inDocument(field string) bool {
	return strings.HasPrefix(field, "facts.") || strings.HasPrefix(field, "trusted.") || strings.HasPrefix(field, "parameters.")
}

// walk calls f for a value and everything within.
func walk(v ast.Value, f func(ast.Value)) {
	f(v)
	for _, x := range v.Items {
		walk(x, f)
	}
}

// ordersTags tells whether rows are ordered by a set, whose elements have no
// order that two servers share.
func ordersTags(r *Request) bool {
	for _, k := range r.level().order {
		if k == "tags" || k == "inputs" {
			return true
		}
	}
	return false
}
