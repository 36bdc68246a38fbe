// The description of the interface, drawn by Swagger UI.
window.SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true });
