package selvbetjening

import (
	"context"
	"encoding/json"
)

// Delegations returns the delegations to a multi-tenant client's supplier (GET
// /v1/multi-tenant-delegations), as JSON that has been checked to be such: HelseID does
// not publish its shape. Its errors are those of [Client.ClientSecrets].
func (c *Client) Delegations(ctx context.Context) (json.RawMessage, error) {
	document, err := c.get(ctx, pathDelegations)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(document.Raw()), nil
}
