// From a request that was read to texts that run: the same for every shape of the API.
#pragma once

#include <memory>
#include <vector>

#include "server/answer_shape.h"
#include "server/api_request.h"
#include "server/endpoints.h"

namespace longhaul {

struct EncodedPrompt {
  std::vector<int32_t> tokens;
  std::string echo;  // what the answer begins with
};

// What no text could be made of, before any work.
ApiStatus check(const Services& services, const Call& call, const ApiRequest& request);
// The same of a prompt; `field`: where it stands.
ApiStatus check_prompt(const Services& services, const std::vector<int32_t>& tokens,
                       const std::string& field = "prompt");
// Queues texts. Error: there is no room.
ApiStatus submit(Services& services, const Call& call, std::vector<TextJob>& jobs);

// Who answers a call: the same where a kept request goes on.
AnswerIdentity identity_of(const Call& call);

// Queues a text for each choice; the answer goes to the call's exchange in the words of `shape`.
ApiStatus generate(Services& services, Call& call, ApiRequest& request,
                   std::vector<EncodedPrompt> prompts, OutputOptions output,
                   std::unique_ptr<AnswerShape> shape);

// All of the above for a conversation.
ApiStatus generate_chat(Services& services, Call& call, ApiRequest& request,
                        std::unique_ptr<AnswerShape> shape);

}  // namespace longhaul
