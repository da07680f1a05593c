// Package identity has the words of the sector that the other packages share: a
// person who has logged in, the numbers of people and organisations, and the levels of
// authentication. It knows none of them, and does nothing but hold values.
//
// What a value cannot be is said by its type, and what must not be printed prints
// itself masked:
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
