// Package identity has the types for people and organisations that the other packages
// share: a logged-in user, personal and organisation numbers, levels of authentication.
// It only holds values and makes no requests.
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
// Sources: HelseID's pages on claims and scopes.
package identity
