package difffuzz

import (
	"slices"

	"dalang/store/query/ast"
)

// Reduce looks for the smallest request that still differs, by at most so many
// attempts: it leaves out parts, one after the other, and keeps what differs.
func Reduce(d *Difference, attempts int, differs func(*Request) (*Difference, error)) (*Difference, error) {
	for progress := true; progress; {
		progress = false
		for _, smaller := range reductions(d.Request) {
			if attempts--; attempts < 0 {
				return d, nil
			}
			found, err := differs(smaller)
			if err != nil {
				return d, err
			}
			if found != nil && sameKind(d, found) {
				d, progress = found, true
				break
			}
		}
	}
	return d, nil
}

// settle reduces a difference; nil is none after all.
func (p *Pair) settle(d *Difference) (*Difference, error) {
	d, err := Reduce(d, 300, func(r *Request) (*Difference, error) {
		d, _, err := p.Compare(r)
		return d, err
	})
	if err != nil {
		return nil, err
	}
	if several, err := p.SeveralMistakes(d); several || err != nil {
		return nil, err
	}
	return d, nil
}

// sameKind keeps a reduction from wandering off to another difference.
func sameKind(a, b *Difference) bool {
	return a.Got.Status == b.Got.Status && a.Case.Expect.Status == b.Case.Expect.Status &&
		start(a.Case.Expect.Text) == start(b.Case.Expect.Text) && (a.Got.Status < 400 || startOf(a.Got.Body) == startOf(b.Got.Body))
}

// start tells kinds of messages apart.
func start(text *string) string {
	if text == nil {
		return ""
	}
	return startOf([]byte(*text))
}

func startOf(text []byte) string { return string(text[:min(len(text), 20)]) }

// SeveralMistakes tells whether a difference in texts comes from a query with
// more than one mistake, of which each server tells another: with some part
// left out both complain of the same.
func (p *Pair) SeveralMistakes(d *Difference) (bool, error) {
	if d.Case.Expect.Text == nil || d.Got.Status != d.Case.Expect.Status {
		return false, nil
	}
	for _, smaller := range reductions(d.Request) {
		found, theirs, err := p.Compare(smaller)
		if err != nil {
			return false, err
		}
		if found == nil && theirs.Status == d.Got.Status && startOf(theirs.Body) == start(d.Case.Expect.Text) {
			return true, nil
		}
	}
	return false, nil
}

// reductions are requests that are a little smaller.
func reductions(r *Request) []*Request {
	var out []*Request
	change := func(f func(*Request)) {
		c := r.clone()
		f(c)
		out = append(out, c)
	}
	if r.Post {
		change(func(c *Request) { c.Post = false })
	}
	for i := range r.Params {
		change(func(c *Request) { c.Params = slices.Delete(c.Params, i, i+1) })
	}
	if r.PQL && r.Query != nil {
		change(func(c *Request) { c.PQL = false })
	}
	if r.Text != "" {
		for size := len(r.Text) / 2; size > 0; size /= 2 {
			for at := 0; at+size <= len(r.Text); at += size {
				change(func(c *Request) { c.Text = c.Text[:at] + c.Text[at+size:] })
			}
		}
	}
	if r.Query == nil {
		return out
	}
	if r.Path != "" {
		change(func(c *Request) { c.Query = nil })
	}
	for _, v := range smaller(*r.Query) {
		change(func(c *Request) { c.Query = &v })
	}
	return out
}

// smaller are values with one part left out or replaced by a part of itself;
// the largest changes come first.
func smaller(v ast.Value) []ast.Value {
	var out []ast.Value
	if v.Kind == ast.String {
		if n := len([]rune(v.Text)); n > 3 {
			r := []rune(v.Text)
			out = append(out, ast.Str(string(r[:n/2])), ast.Str(string(r[n/2:])), ast.Str(string(r[1:])), ast.Str(string(r[:n-1])))
		}
		return out
	}
	for _, x := range v.Items {
		if x.Kind == ast.Array {
			out = append(out, x)
		}
	}
	for i := range v.Items {
		c := copied(v)
		c.Items = slices.Delete(c.Items, i, i+1)
		if v.Kind == ast.Object {
			c.Keys = slices.Delete(c.Keys, i, i+1)
		}
		out = append(out, c)
	}
	for i, x := range v.Items {
		for _, y := range smaller(x) {
			c := copied(v)
			c.Items[i] = y
			out = append(out, c)
		}
	}
	return out
}
