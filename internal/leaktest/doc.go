// Package leaktest proves that what a module exports prints no secret: it finds
// every exported type by itself, fills it with secrets that it would recognise in
// any form, and prints, logs and marshals it in every way.
package leaktest
