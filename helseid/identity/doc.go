// Package identity has the types for people and organisations that the other packages
// share: a logged-in user, personal and organisation numbers, levels of authentication.
// It only holds values and makes no requests.
//
// The values come from other packages: helseid.Session.User is the user of a login, and
// tokenvalidation.Claims.User the one of a token that an API gets. Import this package to
// name their types, to pass on an organisation number, or to require a security level.
//
// Types prevent mixing up values, and a value that must not be printed prints as a
// mask:
//
//	func greet(user identity.User) string {
//		if user.SecurityLevel < identity.SecurityLevel4 || !user.HPRNumber.Valid() {
//			return "somebody"
//		}
//		return user.Name // and fmt.Sprint(user.PersonalIdentityNumber) is "***********"
//	}
//
// Source: HelseID's pages on claims and scopes, in Norsk helsenett's developer portal
// (https://utviklerportal.nhn.no).
package identity
