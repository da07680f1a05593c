package helseid

// Environment is one of HelseID's installations.
type Environment struct {
	// Issuer is its issuer identifier.
	Issuer string
}

// HelseID's public environments.
var (
	Production = Environment{Issuer: "https://helseid-sts.nhn.no"}
	Test       = Environment{Issuer: "https://helseid-sts.test.nhn.no"}
)
