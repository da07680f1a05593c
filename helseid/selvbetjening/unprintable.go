package selvbetjening

import "github.com/helseid-go/sdk/internal/redact"

// unprintable gives a type the methods that make it print as "[redacted]".
type unprintable = redact.Unprintable
