package helseidtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/middleware"
)

// A client under test gets its configuration from the server.
func Example() {
	server, err := helseidtest.Start() // in a test: helseidtest.NewServer(t)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config, err := server.NewClient("nhn:some-api/read") // in a test: server.ClientConfig(t, ...)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	token, err := client.Token(context.Background(), helseid.TokenRequest{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Type, token.Scopes)
	// Output: DPoP [nhn:some-api/read]
}

// An API under test gets tokens that are minted to order.
func ExampleServer_Token() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	auth, err := middleware.New(middleware.Config{Issuer: server.Issuer(), Audience: "nhn:my-api"})
	if err != nil {
		fmt.Println(err)
		return
	}
	journal := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "HPR number ", middleware.Claims(r.Context()).User.HPRNumber)
	}
	handler := auth.Require(journal, middleware.Scope("nhn:my-api/read"), middleware.SecurityLevel(4), middleware.HPRNumber())

	for _, level := range []int{4, 3} {
		token := server.Token(
			helseidtest.Clinician(), helseidtest.SecurityLevel(level),
			helseidtest.Audience("nhn:my-api"), helseidtest.Scopes("nhn:my-api/read"),
		)
		request := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/journal/1", nil)
		server.Authorize(request, token)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		if response.Code == http.StatusOK {
			fmt.Println("level", level, response.Code, response.Body)
			continue
		}
		var problem struct{ Error string }
		_ = json.Unmarshal(response.Body.Bytes(), &problem)
		fmt.Println("level", level, response.Code, problem.Error)
	}
	// Output:
	// level 4 200 HPR number 565505933
	// level 3 401 insufficient_user_authentication
}

// A client survives what can go wrong on the way.
func ExampleServer_Inject() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config, err := server.NewClient("nhn:some-api/read")
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	server.Inject(
		helseidtest.Fault{Status: http.StatusServiceUnavailable},
		helseidtest.Fault{Delay: 10 * time.Millisecond, Cut: true},
	)
	_, err = client.Token(context.Background(), helseid.TokenRequest{})
	fmt.Println(err)
	// Output: <nil>
}
