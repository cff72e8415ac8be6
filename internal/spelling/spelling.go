// Package spelling guesses the intended word behind a mistyped one.
package spelling

import "strings"

// maxLength bounds the words considered, in bytes.
const maxLength = 128

// Nearest returns the word with the fewest typing errors, at most one per three letters
// typed; "" if there is none. Case is ignored.
func Nearest(typed string, words []string) string {
	if len(typed) > maxLength {
		return ""
	}
	best, fewest := "", len(typed)/3+1
	for _, w := range words {
		if n := errorsBetween(strings.ToLower(typed), strings.ToLower(w)); n < fewest {
			best, fewest = w, n
		}
	}
	return best
}

// maxNear bounds how many words Near returns.
const maxNear = 5

// Near returns the word that Nearest finds. If that finds none, as of words of two letters,
// it returns those in which up to three letters are missing, or one is missing and one wrong,
// the nearest first.
func Near(typed string, words []string) []string {
	if word := Nearest(typed, words); word != "" {
		return []string{word}
	}
	if len(typed) < 2 || len(typed) > 3 { // of longer words Nearest forgives enough
		return nil
	}
	var found []string
	for cost := 1; cost <= 3; cost++ {
		for _, w := range words {
			if len(found) < maxNear && costBetween(strings.ToLower(typed), strings.ToLower(w)) == cost {
				found = append(found, w)
			}
		}
	}
	return found
}

// costBetween weighs what must be done to turn typed into word: a missing byte costs 1, a
// wrong one 2, one too many 3.
func costBetween(typed, word string) int {
	row := make([]int, len(word)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(typed) {
		before := row[0]
		row[0] += 3
		for j := range len(word) {
			wrong := before
			if typed[i] != word[j] {
				wrong += 2
			}
			before = row[j+1]
			row[j+1] = min(wrong, row[j]+1, row[j+1]+3)
		}
	}
	return row[len(word)]
}

// errorsBetween counts how many bytes must be inserted, deleted, changed or swapped with
// their neighbor to turn a into b.
func errorsBetween(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			n := min(rows[i-1][j]+1, rows[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n = min(n, rows[i-2][j-2]+1)
			}
			rows[i][j] = n
		}
	}
	return rows[len(a)][len(b)]
}
