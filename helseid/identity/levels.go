package identity

// SecurityLevel is the strength of a user's authentication, from the claim
// helseid://claims/identity/security_level. Levels are ordered: compare them with < and
// >=. Zero means that the token has none.
type SecurityLevel int

// The security levels.
const (
	SecurityLevel2 SecurityLevel = 2
	SecurityLevel3 SecurityLevel = 3
	SecurityLevel4 SecurityLevel = 4
)

// AssuranceLevel is the eIDAS level of a user's identity, from the claim
// helseid://claims/identity/assurance_level. Levels are ordered: compare them with <
// and >=. Zero means that the token has none.
type AssuranceLevel int

// The assurance levels.
const (
	AssuranceLow AssuranceLevel = iota + 1
	AssuranceSubstantial
	AssuranceHigh
)

var assuranceNames = [...]string{"", "low", "substantial", "high"}

// String returns the claim's value: "low", "substantial", "high", or "".
func (l AssuranceLevel) String() string {
	if l < 0 || int(l) >= len(assuranceNames) {
		return ""
	}
	return assuranceNames[l]
}

// MarshalText returns the result of String.
func (l AssuranceLevel) MarshalText() ([]byte, error) { return []byte(l.String()), nil }
