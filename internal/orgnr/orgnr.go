package orgnr

import "strings"

// IsNumber reports whether the text has nine digits.
func IsNumber(text string) bool {
	return len(text) == 9 && strings.Trim(text, "0123456789") == ""
}

// HasValidCheckDigit reports whether the last digit of nine fits the others
// (modulus 11, weights 3 2 7 6 5 4 3 2). Numbers of the register pass; some of
// Norsk helsenett's test organisations do not.
func HasValidCheckDigit(text string) bool {
	if !IsNumber(text) {
		return false
	}
	sum := 0
	for i, weight := range [8]int{3, 2, 7, 6, 5, 4, 3, 2} {
		sum += weight * int(text[i]-'0')
	}
	return (11-sum%11)%11 == int(text[8]-'0')
}
