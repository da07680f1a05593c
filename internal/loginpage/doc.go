// Package loginpage is the look of the example programs' pages, and the login
// page that examples/localhelseid and examples/weblogin put before
// helseidtest. The pages work without scripts, by keyboard, and in light and
// dark.
package loginpage
