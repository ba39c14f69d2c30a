package ast

import "slices"

// DidYouMean is a hint at the known name that is nearest to a wrong one, or "".
// Most often it is the plural that was meant.
func DidYouMean(name string, known []string) string {
	if slices.Contains(known, name+"s") {
		return "did you mean '" + name + "s'?"
	}
	best, bestAt := "", len(name)/3+1
	for _, k := range known {
		if d := distance(name, k); d <= bestAt && (d < bestAt || best == "" || k < best) {
			best, bestAt = k, d
		}
	}
	if best == "" || best == name {
		return ""
	}
	return "did you mean '" + best + "'?"
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
