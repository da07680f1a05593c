package helseid

// Environment is one of HelseID's public environments.
type Environment struct {
	// Issuer is its issuer identifier.
	Issuer string

	// SelvbetjeningURL is the address of the API of HelseID Selvbetjening: see package
	// selvbetjening.
	SelvbetjeningURL string
}

// HelseID's public environments.
var (
	Production = Environment{Issuer: "https://helseid-sts.nhn.no", SelvbetjeningURL: "https://api.selvbetjening.nhn.no"}
	Test       = Environment{Issuer: "https://helseid-sts.test.nhn.no", SelvbetjeningURL: "https://api.selvbetjening.test.nhn.no"}
)
