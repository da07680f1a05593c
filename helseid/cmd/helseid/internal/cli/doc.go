// Package cli is what the commands of helseid have in common: flags that are also
// environment variables, help, output in words or as JSON, and exit codes.
package cli
