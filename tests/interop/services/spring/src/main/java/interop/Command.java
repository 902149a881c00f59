package interop;

import com.fasterxml.jackson.databind.JsonNode;

/** What the harness can ask for; its name is the name of the bean. */
interface Command {

    Object run(JsonNode arguments) throws Exception;
}
