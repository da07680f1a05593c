// Package stacksv1connect is the API of package stacksv1 for Connect. It is generated
// with it.
package stacksv1connect
