// Package desk is a HelseID for a developer's desk: the server of package helseidtest with
// a login page, test users, and a start page that shows clients, users and the contents of
// tokens. It is what the command "helseid serve" and examples/localhelseid run, and for
// programs that want one of their own:
//
//	package main
//
//	import (
//		"context"
//		"log"
//		"os"
//		"os/signal"
//
//		"github.com/helseid-go/sdk/helseid/helseidtest/desk"
//	)
//
//	func main() {
//		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
//		defer stop()
//		err := desk.Run(ctx, desk.Config{ClientFile: "client.json", API: "nhn:demo-api", Output: os.Stdout})
//		if err != nil {
//			log.Fatal(err)
//		}
//	}
//
// It listens on loopback only unless [Config.AllowRemote] is set. Its keys are made when it
// starts, so its tokens are worthless elsewhere.
//
// # The file of clients and users
//
// Without [Config.ClientsFile] a client is registered, and a configuration file for it is
// written in the format of HelseID Selvbetjening. With it, clients and users come from a
// JSON file, which is read again whenever it changes. Mistakes in the file are printed, and
// the previous contents stay in force. All members but those marked are optional:
//
//	{
//	  "clients": [{
//	    "clientId": "my-client",                       required
//	    "publicJwks": [{"kty": "EC", "crv": "P-256"}], this or privateJwk is required
//	    "privateJwk": {},                              a JWK, or one as a string
//	    "clientName": "My journal",
//	    "scopes": ["nhn:demo-api/read"],
//	    "grantTypes": ["authorization_code", "refresh_token", "client_credentials"],
//	    "redirectUris": ["http://localhost:8080/callback"],
//	    "postLogoutRedirectUris": ["http://localhost:8080/"],
//	    "parentOrganization": "994598759",
//	    "childOrganizations": ["999977775"],
//	    "multiTenant": true,
//	    "delegations": ["994598759"],
//	    "backChannelLogoutUri": "", "frontChannelLogoutUri": "",
//	    "allowBearer": false,
//	    "unsignedTerms": {"994598759": ["nhn:demo-api/read"]},
//	    "apis": ["nhn:demo-api"],                      whose tokens it may exchange
//	    "actors": ["another-client"],                  who may exchange its tokens
//	    "audienceClaims": {"nhn:demo-api/client/claims/id": "7"}
//	  }],
//	  "users": [{
//	    "personalIdentityNumber": "06828399789",       required, synthetic
//	    "givenName": "KVART", "middleName": "", "familyName": "GREVLING",
//	    "hprNumber": "565505933",
//	    "hprApprovals": [{"profession": "LE", "authorization": {"value": "1", "description": "Autorisasjon"},
//	                      "requisition_rights": [], "specialities": []}],
//	    "securityLevel": 4, "assuranceLevel": "high",
//	    "identityProvider": "testidp-oidc", "network": "internett"
//	  }],
//	  "apis": [{
//	    "name": "nhn:demo-api",                        required
//	    "claims": ["helseid://claims/identity/pid"]    about users in its tokens; without, all
//	  }]
//	}
//
// A client can be a complete file from HelseID Selvbetjening; its additional members are
// ignored. Members that are unknown in both formats are refused. The users are added to the
// built-in ones, and replace those with the same number.
//
// # What else it has
//
// The API of HelseID Selvbetjening, for clients of the file that have the scope
// nhn:selvbetjening/client and for client drafts; the endpoint of Test-Token-Tjenesten, for
// tools that know its key; and, with [Config.API], a protected API at /api/echo below the
// issuer that answers what it was called with. It prints their addresses.
package desk
