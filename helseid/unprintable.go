package helseid

import "github.com/helseid-go/sdk/internal/redact"

// unprintable gives a type the methods that make it read "[redacted]".
type unprintable = redact.Unprintable
